"""The ``.proto`` files of gRPC, and the code that ``make proto`` generates from them."""
