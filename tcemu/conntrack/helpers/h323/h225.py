"""Types of H.225.0 as far as Linux knows them: the user information in Q.931, and RAS.

Source: ITU-T H.225.0 annex H, H.235 annex A (names, constraints, extensions), net/netfilter/nf_conntrack_h323_types.c for how far Linux
knows them.
"""

from __future__ import annotations

from typing import Final

from tcemu.conntrack.helpers.h323.h245 import CHANNEL, CONTROL
from tcemu.conntrack.helpers.h323.notation import read

TEXT: Final = """
H221 SEQ t35CountryCode int(0..255), t35Extension int(0..255), manufacturerCode int(0..65535), ...
Identifier CHOICE object oid, h221NonStandard H221, ...
NonStandard SEQ nonStandardIdentifier Identifier, data octets

IpAddress SEQ ip! octets(4), port int(0..65535)
Routing CHOICE strict null, loose null, ...
SourceRoute SEQ ip octets(4), port int(0..65535), route list octets(4), routing Routing, ...
IpxAddress SEQ node octets(6), netnum octets(4), port octets(2)
Ip6Address SEQ ip! octets(16), port int(0..65535), ...
Transport CHOICE ipAddress! IpAddress, ipSourceRoute SourceRoute, ipxAddress IpxAddress, ip6Address! Ip6Address,
    netBios octets(16), nsap octets(1..20), nonStandardAddress NonStandard, ...
Alias CHOICE dialedDigits digits(1..128), h323-ID bmp(1..256), ..., url-ID, transportID, email-ID, partyNumber, mobileUIM

Vendor SEQ vendor H221, productId? octets(1..256), versionId? octets(1..256), ...
Gatekeeper SEQ nonStandardData? NonStandard, ...
Caps SEQ nonStandardData? NonStandard, ..., dataRatesSupported, supportedPrefixes
Protocol CHOICE nonStandardData NonStandard, h310 Caps, h320 Caps, h321 Caps, h322 Caps, h323 Caps, h324 Caps, voice Caps,
    t120-only Caps, ..., nonStandardProtocol, t38FaxAnnexbOnly
Gateway SEQ protocol? list Protocol, nonStandardData? NonStandard, ...
Mcu SEQ nonStandardData? NonStandard, ..., protocol
Terminal SEQ nonStandardData? NonStandard, ...
EndpointType SEQ nonStandardData? NonStandard, vendor? Vendor, gatekeeper? Gatekeeper, gateway? Gateway, mcu? Mcu,
    terminal? Terminal, mc bool, undefinedNode bool, ..., set, supportedTunnelledProtocols

Goal CHOICE create null, join null, invite null, ..., capability-negotiation, callIndependentSupplementaryService
Q954 SEQ conferenceCalling bool, threePartyService bool, ...
CallServices SEQ q932Full bool, q951Full bool, q952Full bool, q953Full bool, q955Full bool, q956Full bool, q957Full bool, q954Info Q954, ...
CallType CHOICE pointToPoint null, oneToN null, nToOne null, nToN null, ...
Setup SEQ protocolIdentifier oid, h245Address?! Transport, sourceAddress? list Alias, sourceInfo EndpointType,
    destinationAddress? list Alias, destCallSignalAddress?! Transport, destExtraCallInfo? list Alias,
    destExtraCRV? list int(0..65535), activeMC bool, conferenceID octets(16), conferenceGoal Goal, callServices? CallServices,
    callType CallType, ..., sourceCallSignalAddress! Transport, remoteExtensionAddress, callIdentifier, h245SecurityCapability, tokens,
    cryptoTokens, fastStart! list(30) open OpenLogicalChannel, mediaWaitForConnect, canOverlapSend, endpointIdentifier*
CallProceeding SEQ protocolIdentifier oid, destinationInfo EndpointType, h245Address?! Transport, ..., callIdentifier,
    h245SecurityMode, tokens, cryptoTokens, fastStart! list(30) open OpenLogicalChannel, multipleCalls, maintainConnection,
    fastConnectRefused, featureSet
Connect SEQ protocolIdentifier oid, h245Address?! Transport, destinationInfo EndpointType, conferenceID octets(16),
    ..., callIdentifier, h245SecurityMode, tokens, cryptoTokens, fastStart! list(30) open OpenLogicalChannel, multipleCalls,
    maintainConnection, language, connectedAddress, presentationIndicator, screeningIndicator, fastConnectRefused, serviceControl,
    capacity, featureSet
Alerting SEQ protocolIdentifier oid, destinationInfo EndpointType, h245Address?! Transport, ..., callIdentifier, h245SecurityMode,
    tokens, cryptoTokens, fastStart! list(30) open OpenLogicalChannel, multipleCalls, maintainConnection, alertingAddress,
    presentationIndicator, screeningIndicator, fastConnectRefused, serviceControl, capacity, featureSet
Information SEQ protocolIdentifier oid, ..., callIdentifier, tokens, cryptoTokens, fastStart, fastConnectRefused, circuitInfo
ReleaseReason CHOICE noBandwidth null, gatekeeperResources null, unreachableDestination null, destinationRejection null,
    invalidRevision null, noPermission null, unreachableGatekeeper null, gatewayResources null, badFormatAddress null,
    adaptiveBusy null, inConf null, undefinedReason null, ..., facilityCallDeflection, securityDenied, calledPartyNotRegistered,
    callerNotRegistered, newConnectionNeeded, nonStandardReason, replaceWithConferenceInvite, genericDataReason,
    neededFeatureNotSupported, tunnelledSignallingRejected
ReleaseComplete SEQ protocolIdentifier oid, reason? ReleaseReason, ..., callIdentifier, tokens, cryptoTokens, busyAddress,
    presentationIndicator, screeningIndicator, capacity, serviceControl, featureSet
FacilityReason CHOICE routeCallToGatekeeper null, callForwarded null, routeCallToMC null, undefinedReason null,
    ..., conferenceListChoice, startH245, noH245, newTokens, featureSetUpdate, forwardedElements, transportedInformation
Facility SEQ protocolIdentifier oid, alternativeAddress?! Transport, alternativeAliasAddress? list Alias,
    conferenceID? octets(16), reason! FacilityReason, ..., callIdentifier, destExtraCallInfo, remoteExtensionAddress, tokens,
    cryptoTokens, conferences, h245Address! Transport, fastStart! list(30) open OpenLogicalChannel, multipleCalls,
    maintainConnection, fastConnectRefused, serviceControl, circuitInfo, featureSet, destinationInfo, h245SecurityMode

CallIdentifier SEQ guid octets(16), ...
SecurityMode CHOICE nonStandard NonStandard, none null, default null, ...
Security SEQ nonStandard? NonStandard, encryption SecurityMode, authenticaton SecurityMode, integrity SecurityMode, ...
H245Security CHOICE nonStandard NonStandard, noSecurity null, tls Security, ipsec Security, ...
DhSet SEQ halfkey bits(0..2048), modSize bits(0..2048), generator bits(0..2048), ...
Certificate SEQ type oid, certificate octets, ...
H235NonStandard SEQ nonStandardIdentifier oid, data octets
ClearToken SEQ tokenOID oid, timeStamp? int(1..4294967295), password? bmp(1..128), dhkey? DhSet, challenge? octets(8..128),
    random? int, certificate? Certificate, generalID? bmp(1..128), nonStandard? H235NonStandard, ..., eckasdhkey, sendersID
Params SEQ ranInt? int, iv8? octets(8), ..., iv16
Hashed SEQ algorithmOID oid, paramS Params, hash bits
Encrypted SEQ algorithmOID oid, paramS Params, encryptedData octets
Signed SEQ toBeSigned open ClearToken, algorithmOID oid, paramS Params, signature bits
EndpointHash SEQ alias Alias, timeStamp int(1..4294967295), token Hashed
GatekeeperHash SEQ gatekeeperId bmp(1..128), timeStamp int(1..4294967295), token Hashed
EncryptedToken SEQ tokenOID oid, token Encrypted
SignedToken SEQ tokenOID oid, token Signed
HashedToken SEQ tokenOID oid, hashedVals ClearToken, token Hashed
CryptoToken CHOICE cryptoEncryptedToken EncryptedToken, cryptoSignedToken SignedToken, cryptoHashedToken HashedToken,
    cryptoPwdEncr Encrypted, ...
CryptoH323Token CHOICE cryptoEPPwdHash EndpointHash, cryptoGKPwdHash GatekeeperHash, cryptoEPPwdEncr Encrypted,
    cryptoGKPwdEncr Encrypted, cryptoEPCert Signed, cryptoGKCert Signed, cryptoFastStart Signed, nestedcryptoToken CryptoToken, ...
Progress SEQ protocolIdentifier oid, destinationInfo EndpointType, h245Address?! Transport, callIdentifier CallIdentifier,
    h245SecurityMode? H245Security, tokens? list ClearToken, cryptoTokens? list CryptoH323Token,
    fastStart?! list(30) open OpenLogicalChannel, ..., multipleCalls, maintainConnection, fastConnectRefused

Body CHOICE setup! Setup, callProceeding! CallProceeding, connect! Connect, alerting! Alerting, information Information,
    releaseComplete ReleaseComplete, facility! Facility, ..., progress! Progress, empty, status, statusInquiry, setupAcknowledge, notify
Pdu SEQ h323-message-body! Body, nonStandardData? NonStandard, ..., h4501SupplementaryService, h245Tunneling,
    h245Control! list(4) open MultimediaSystemControlMessage, nonStandardControl*
UserInformation SEQ h323-uu-pdu! Pdu, user-data?*, ...

GatekeeperRequest SEQ requestSeqNum int(1..65535), protocolIdentifier oid, nonStandardData? NonStandard, rasAddress! Transport,
    endpointType*, gatekeeperIdentifier?, callServices?, endpointAlias?, ...
GatekeeperConfirm SEQ requestSeqNum int(1..65535), protocolIdentifier oid, nonStandardData? NonStandard,
    gatekeeperIdentifier? bmp(1..128), rasAddress! Transport, ..., alternateGatekeeper*
RegistrationRequest SEQ requestSeqNum int(1..65535), protocolIdentifier oid, nonStandardData? NonStandard, discoveryComplete bool,
    callSignalAddress! list(10) Transport, rasAddress! list(10) Transport, terminalType EndpointType, terminalAlias? list Alias,
    gatekeeperIdentifier? bmp(1..128), endpointVendor Vendor, ..., alternateEndpoints, timeToLive! int(1..4294967295), tokens*
RegistrationConfirm SEQ requestSeqNum int(1..65535), protocolIdentifier oid, nonStandardData? NonStandard,
    callSignalAddress! list(10) Transport, terminalAlias? list Alias, gatekeeperIdentifier? bmp(1..128),
    endpointIdentifier bmp(1..128), ..., alternateGatekeeper, timeToLive! int(1..4294967295), tokens*
UnregistrationRequest SEQ requestSeqNum int(1..65535), callSignalAddress! list(10) Transport, endpointAlias?*, nonStandardData?,
    endpointIdentifier?, ...
CallModel CHOICE direct null, gatekeeperRouted null, ...
AdmissionRequest SEQ requestSeqNum int(1..65535), callType CallType, callModel? CallModel, endpointIdentifier bmp(1..128),
    destinationInfo? list Alias, destCallSignalAddress?! Transport, destExtraCallInfo? list Alias, srcInfo list Alias,
    srcCallSignalAddress?! Transport, bandWidth*, callReferenceValue, nonStandardData?, callServices?, conferenceID, activeMC,
    answerCall, ...
AdmissionConfirm SEQ requestSeqNum int(1..65535), bandWidth int(0..4294967295), callModel CallModel,
    destCallSignalAddress! Transport, irrFrequency?*, nonStandardData?, ...
LocationRequest SEQ requestSeqNum int(1..65535), endpointIdentifier? bmp(1..128), destinationInfo list Alias,
    nonStandardData? NonStandard, replyAddress! Transport, ..., sourceInfo*
LocationConfirm SEQ requestSeqNum int(1..65535), callSignalAddress! Transport, rasAddress! Transport, nonStandardData?*, ...
InfoRequestResponse SEQ nonStandardData? NonStandard, requestSeqNum int(1..65535), endpointType EndpointType,
    endpointIdentifier bmp(1..128), rasAddress! Transport, callSignalAddress! list(10) Transport, endpointAlias?*, perCallInfo?, ...
RasMessage CHOICE gatekeeperRequest! GatekeeperRequest, gatekeeperConfirm! GatekeeperConfirm, gatekeeperReject*,
    registrationRequest! RegistrationRequest, registrationConfirm! RegistrationConfirm, registrationReject*,
    unregistrationRequest! UnregistrationRequest, unregistrationConfirm*, unregistrationReject*,
    admissionRequest! AdmissionRequest, admissionConfirm! AdmissionConfirm, admissionReject*, bandwidthRequest*, bandwidthConfirm*,
    bandwidthReject*, disengageRequest*, disengageConfirm*, disengageReject*, locationRequest! LocationRequest,
    locationConfirm! LocationConfirm, locationReject*, infoRequest*, infoRequestResponse! InfoRequestResponse, nonStandardMessage*,
    ..., unknownMessageResponse*, requestInProgress*, resourcesAvailableIndicate*, resourcesAvailableConfirm*, infoRequestAck*,
    infoRequestNak*, serviceControlIndication*, serviceControlResponse*
"""
TYPES: Final = read(TEXT, {"OpenLogicalChannel": CHANNEL, "MultimediaSystemControlMessage": CONTROL})
USER_INFORMATION: Final = TYPES["UserInformation"]
RAS: Final = TYPES["RasMessage"]
