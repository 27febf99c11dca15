"""The nft front end: parse, evaluate, apply, show. See `tcemu.nft.commands.run`."""
