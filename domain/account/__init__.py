"""A customer's account after the sale (D8, D9, D14–D17, B17): its life, its get-well plan, and what makes it red."""
