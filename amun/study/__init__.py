"""The paper's study on one's own data and machine: every method, both settings, with the spread of each figure."""
