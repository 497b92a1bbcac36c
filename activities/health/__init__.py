"""The hourly health run (D12): what is read, the scores of every account, and who hears of them."""
