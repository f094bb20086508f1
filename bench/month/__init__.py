"""A month of nights in fast motion: real commands, real servers, and a clock that goes from one night to the next."""
