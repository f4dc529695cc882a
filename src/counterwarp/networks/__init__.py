"""Networks: conditional convolution, the classifier, the simulator and the warps that it makes."""
