"""The one registry of search attributes: what operators filter by. The server keeps them in the clear, so they name companies and no person.

``Owner`` is one of our own people, by handle (:func:`domain.ids.handle`); ``tenure whois`` tells whose it is.
"""

from temporalio.common import SearchAttributeKey

STAGE = SearchAttributeKey.for_keyword("Stage")
OWNER = SearchAttributeKey.for_keyword("Owner")
DUE_AT = SearchAttributeKey.for_datetime("DueAt")
DOMAIN = SearchAttributeKey.for_keyword("Domain")
ACCOUNT = SearchAttributeKey.for_keyword("Account")
RATING = SearchAttributeKey.for_keyword("Rating")
FORECAST = SearchAttributeKey.for_keyword("Forecast")
RENEWAL_QUARTER = SearchAttributeKey.for_keyword("RenewalQuarter")
ARR = SearchAttributeKey.for_int("Arr")

#: Name and type of each, as the server's command line and Operator API take them.
REGISTERED = {
    key.name: key.indexed_value_type.name.capitalize()
    for key in (STAGE, OWNER, DUE_AT, DOMAIN, ACCOUNT, RATING, FORECAST, RENEWAL_QUARTER, ARR)
}
