"""The ordinary Dapr program: publish in the request, through the SDK; tell the customer in the delivery."""
