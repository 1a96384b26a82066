"""Who is calling and what they may do: accounts, keys, access tokens. Knows no transport."""
