"""What gRPC speaks: the ``.proto`` files, and beside them what ``make proto`` makes of them."""
