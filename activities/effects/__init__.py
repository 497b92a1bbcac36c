"""How effects are carried out: the register of their kinds, a batch on several systems, and the comparison with the world."""
