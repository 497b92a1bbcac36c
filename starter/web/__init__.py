"""The web: the signup page, the JSON API, the console, the links of our mails, webhooks and sign-in."""
