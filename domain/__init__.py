"""What is true and what is decided: types, figures and pure functions. Imports nothing else of Tenure's."""
