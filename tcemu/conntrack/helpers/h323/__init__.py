"""H.323: RAS, Q.931 and H.245, whose messages are ASN.1 in packed encoding rules (PER).

    notation   reads the tables of types           h225, h245   the tables: what Linux knows of the two ASN.1 modules
    per        decodes bytes by such a table       signal       a message in its packet: addresses in it, TPKT frames of a stream
    channels   H.245: media channels, T.120        q931, ras    the two protocols that a rule may name
    nat        what is written anew of a translated connection

Linux tolerates what it cannot decode and drops what it can decode but not act on. Module parameters are those that Linux has by default:
default_rrq_ttl 300, gkrouted_only 1, callforward_filter 1.
"""
