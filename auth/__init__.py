"""Identity and permissions: accounts, keys, access tokens. Independent of any transport."""
