"""What one rank executes and stores: operations, messages, gradients and bytes, without any price."""
