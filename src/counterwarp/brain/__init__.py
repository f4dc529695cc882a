"""From a whole-head scan to a brain on the network grid."""
