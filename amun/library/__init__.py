"""The method and its audit for tensors and models of one's own: no workspace, no files, no parameters to be written."""
