"""The processes of a customer's account: its life, its get-well plan, and its time as a red account."""
