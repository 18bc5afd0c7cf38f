"""An OpenID provider for development and tests, on this machine alone: it asks whom to sign in, not for proof."""
