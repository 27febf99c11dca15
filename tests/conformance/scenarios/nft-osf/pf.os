# a comment

45046:64:0:44:M*:		AIX:4.3::AIX 4.3
16384:64:0:60:M512,N,W%2,N,N,T:		AIX:4.3:3:AIX 4.3.3-5.2
S10:64:1:60:M*,S,T,N,W4:	Linux:3.0::Linux 3.0
S20:64:1:60:M*,S,T,N,W7:	Linux:3.11-4.19::Linux 3.11 - 4.19
T4:64:1:60:M*,S,T,N,W7:		Linux:2.6::Linux 2.6 (newer, 4)
65535:64:1:60:M*,N,W6,S,T:	FreeBSD:9.0::FreeBSD 9.0 - 12.0
%8192:128:1:48:M*,N,N,S:	*Windows:XP::Windows XP
*:128:1:52:M*,N,W8,N,N,S:	@Windows:7:8:Windows 7 or 8
S17:64:1:48:N,N,S,M*:			Solaris:8::Solaris 8
512:64:0:40:.:		None:1::no options
S4:64:1:60:M1360,S,T,N,W0:	Linux:google::Linux (Google crawlbot)
1000:64:1:60:M*,S,T,N,E:	Quirk:1::ends
