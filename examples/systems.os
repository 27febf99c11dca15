# Fingerprints of operating systems: what a SYN looks like. Form: window:ttl:df:length:options:genre:version:subtype:details
# (see tcemu-socket(8)). A few that are common; nftables brings a long list, pf.os.

S10:64:1:60:M*,S,T,N,W7:Linux:3.4-3.10::Linux 3.4 to 3.10
S20:64:1:60:M*,S,T,N,W7:Linux:3.11-4.19::Linux 3.11 to 4.19
S44:64:1:60:M*,S,T,N,W7:Linux:4.20::Linux 4.20 and later
65535:64:1:60:M*,N,W6,S,T:FreeBSD:9.0-12.0::FreeBSD 9.0 to 12.0
*:128:1:52:M*,N,W8,N,N,S:Windows:7-10::Windows 7 to 10
