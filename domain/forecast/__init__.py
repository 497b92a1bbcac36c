"""The forecast of the renewals (D29): what is expected of them, and the weekly round of questions."""
