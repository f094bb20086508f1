"""Where pieces of work are done that do not depend on each other: in this process, in copies of it, or on a cluster."""
