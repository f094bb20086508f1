"""Tables and pages as people see them."""
