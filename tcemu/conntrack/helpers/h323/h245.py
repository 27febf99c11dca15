"""Types of H.245 as far as Linux knows them: what leads to the addresses of media, and what has to be walked over on the way.

Source: ITU-T H.245 annex A (names, constraints, extensions), net/netfilter/nf_conntrack_h323_types.c for how far Linux knows them.
"""

from __future__ import annotations

from typing import Final

from tcemu.conntrack.helpers.h323.notation import read

TEXT: Final = """
H221 SEQ t35CountryCode int(0..255), t35Extension int(0..255), manufacturerCode int(0..65535)
Identifier CHOICE object oid, h221NonStandard H221
NonStandard SEQ nonStandardIdentifier Identifier, data octets

H261Video SEQ qcifMPI? int(1..4), cifMPI? int(1..4), temporalSpatialTradeOffCapability bool, maxBitRate int(1..19200),
    stillImageTransmission bool, ..., videoBadMBsCap
H262Video SEQ spatML bool, mpatLL bool, mpatML bool, mpatH14 bool, mpatHL bool, snratLL bool, snratML bool, spatialatH14 bool,
    hpatML bool, hpatH14 bool, hpatHL bool, videoBitRate? int(0..1073741823), vbvBufferSize? int(0..262143),
    samplesPerLine? int(0..16383), linesPerFrame? int(0..16383), framesPerSecond? int(0..15),
    luminanceSampleRate? int(0..4294967295), ..., videoBadMBsCap
H263Video SEQ sqcifMPI? int(1..32), qcifMPI? int(1..32), cifMPI? int(1..32), cif4MPI? int(1..32), cif16MPI? int(1..32),
    maxBitRate int(1..192400), unrestrictedVector bool, arithmeticCoding bool, advancedPrediction bool, pbFrames bool,
    temporalSpatialTradeOffCapability bool, hrd-B? int(0..524287), bppMaxKb? int(0..65535), ..., slowSqcifMPI, slowQcifMPI, slowCifMPI,
    slowCif4MPI, slowCif16MPI, errorCompensation, enhancementLayerInfo, h263Options
Is11172Video SEQ constrainedBitstream bool, videoBitRate? int(0..1073741823), vbvBufferSize? int(0..262143),
    samplesPerLine? int(0..16383), linesPerFrame? int(0..16383), pictureRate? int(0..15), luminanceSampleRate? int(0..4294967295),
    ..., videoBadMBsCap
Video CHOICE nonStandard NonStandard, h261VideoCapability H261Video, h262VideoCapability H262Video, h263VideoCapability H263Video,
    is11172VideoCapability Is11172Video, ..., genericVideoCapability

G7231 SEQ maxAl-sduAudioFrames int(1..256), silenceSuppression bool
Is11172Audio SEQ audioLayer1 bool, audioLayer2 bool, audioLayer3 bool, sampling32k bool, sampling44k1 bool, sampling48k bool,
    singleChannel bool, twoChannels bool, bitRate int(1..448), ...
Is13818Audio SEQ audioLayer1 bool, audioLayer2 bool, audioLayer3 bool, sampling16k bool, sampling22k05 bool, sampling24k bool,
    sampling32k bool, sampling44k1 bool, sampling48k bool, singleChannel bool, twoChannels bool, threeChannels2-1 bool,
    threeChannels3-0 bool, fourChannels2-0-2-0 bool, fourChannels2-2 bool, fourChannels3-1 bool, fiveChannels3-0-2-0 bool,
    fiveChannels3-2 bool, lowFrequencyEnhancement bool, multilingual bool, bitRate int(1..1130), ...
Audio CHOICE nonStandard NonStandard, g711Alaw64k int(1..256), g711Alaw56k int(1..256), g711Ulaw64k int(1..256),
    g711Ulaw56k int(1..256), g722-64k int(1..256), g722-56k int(1..256), g722-48k int(1..256), g7231 G7231, g728 int(1..256),
    g729 int(1..256), g729AnnexA int(1..256), is11172AudioCapability Is11172Audio, is13818AudioCapability Is13818Audio,
    ..., g729wAnnexB, g729AnnexAwAnnexB, g7231AnnexCCapability, gsmFullRate, gsmHalfRate, gsmEnhancedFullRate, genericAudioCapability,
    g729Extensions

DataProtocol CHOICE nonStandard NonStandard, v14buffered null, v42lapm null, hdlcFrameTunnelling null, h310SeparateVCStack null,
    h310SingleVCStack null, transparent null, ..., segmentationAndReassembly, hdlcFrameTunnelingwSAR, v120, separateLANStack,
    v76wCompression, tcp, udp
T84Restricted SEQ qcif bool, cif bool, ccir601Seq bool, ccir601Prog bool, hdtvSeq bool, hdtvProg bool, g3FacsMH200x100 bool,
    g3FacsMH200x200 bool, g4FacsMMR200x100 bool, g4FacsMMR200x200 bool, jbig200x200Seq bool, jbig200x200Prog bool,
    jbig300x300Seq bool, jbig300x300Prog bool, digPhotoLow bool, digPhotoMedSeq bool, digPhotoMedProg bool, digPhotoHighSeq bool,
    digPhotoHighProg bool, ...
T84Profile CHOICE t84Unrestricted null, t84Restricted T84Restricted
T84 SEQ t84Protocol DataProtocol, t84Profile T84Profile
Nlpid SEQ nlpidProtocol DataProtocol, nlpidData octets
Application CHOICE nonStandard NonStandard, t120! DataProtocol, dsm-cc DataProtocol, userData DataProtocol, t84 T84,
    t434 DataProtocol, h224 DataProtocol, nlpid Nlpid, dsvdControl null, h222DataPartitioning DataProtocol,
    ..., t30fax, t140, t38fax, genericDataCapability
DataCapability SEQ application! Application, maxBitRate int(0..4294967295), ...
Encryption CHOICE nonStandard NonStandard, h233Encryption null, ...
DataType CHOICE nonStandard NonStandard, nullData null, videoData Video, audioData Audio, data! DataCapability,
    encryptionData Encryption, ..., h235Control, h235Media, multiplexedStream

H222Channel SEQ resourceID int(0..65535), subChannelID int(0..8191), pcr-pid? int(0..8191), programDescriptors? octets,
    streamDescriptors? octets, ...
Al3 SEQ controlFieldOctets int(0..2), sendBufferSize int(0..16777215)
AdaptationLayer CHOICE nonStandard NonStandard, al1Framed null, al1NotFramed null, al2WithoutSequenceNumbers null,
    al2WithSequenceNumbers null, al3 Al3, ..., al1M, al2M, al3M
H223Channel SEQ adaptationLayerType AdaptationLayer, segmentableFlag bool, ...
CrcLength CHOICE crc8bit null, crc16bit null, crc32bit null, ...
Hdlc SEQ crcLength CrcLength, n401 int(1..4095), loopbackTestProcedure bool, ...
Suspend CHOICE noSuspendResume null, suspendResumewAddress null, suspendResumewoAddress null, ...
Recovery CHOICE rej null, sREJ null, mSREJ null, ...
Erm SEQ windowSize int(1..127), recovery Recovery, ...
V76Mode CHOICE eRM Erm, uNERM null, ...
V75 SEQ audioHeaderPresent bool, ...
V76Channel SEQ hdlcParameters Hdlc, suspendResume Suspend, uIH bool, mode V76Mode, v75Parameters V75, ...

IpPlace SEQ network! octets(4), tsapIdentifier int(0..65535), ...
IpxPlace SEQ node octets(6), netnum octets(4), tsapIdentifier octets(2), ...
Ip6Place SEQ network! octets(16), tsapIdentifier int(0..65535), ...
Routing CHOICE strict null, loose null
SourceRoute SEQ routing Routing, network octets(4), tsapIdentifier int(0..65535), route list octets(4), ...
Unicast CHOICE iPAddress! IpPlace, iPXAddress IpxPlace, iP6Address! Ip6Place, netBios octets(16), iPSourceRouteAddress SourceRoute,
    ..., nsap, nonStandardAddress
Multicast CHOICE iPAddress IpPlace, iP6Address Ip6Place, ..., nsap, nonStandardAddress
Transport CHOICE unicastAddress! Unicast, multicastAddress Multicast, ...

H2250Channel SEQ nonStandard? list NonStandard, sessionID int(0..255), associatedSessionID? int(1..255), mediaChannel?! Transport,
    mediaGuaranteedDelivery? bool, mediaControlChannel?! Transport, mediaControlGuaranteedDelivery?*, silenceSuppression?,
    destination?, dynamicRTPPayloadType?, mediaPacketization?, ..., transportCapability, redundancyEncoding, source
ForwardMultiplex CHOICE h222LogicalChannelParameters H222Channel, h223LogicalChannelParameters H223Channel,
    v76LogicalChannelParameters V76Channel, ..., h2250LogicalChannelParameters! H2250Channel, none
ForwardChannel SEQ portNumber? int(0..65535), dataType! DataType, multiplexParameters! ForwardMultiplex,
    ..., forwardLogicalChannelDependency, replacementFor
ReverseMultiplex CHOICE h223LogicalChannelParameters H223Channel, v76LogicalChannelParameters V76Channel,
    ..., h2250LogicalChannelParameters! H2250Channel
ReverseChannel SEQ dataType DataType, multiplexParameters?! ReverseMultiplex, ..., reverseLogicalChannelDependency, replacementFor

Distribution CHOICE unicast null, multicast null, ...
Q2931Number CHOICE internationalNumber digits(1..16), nsapAddress octets(1..20), ...
Q2931Address SEQ address Q2931Number, subaddress? octets(1..20), ...
NetworkAddress CHOICE q2931Address Q2931Address, e164Address digits(1..128), localAreaAddress! Transport, ...
NetworkAccess SEQ distribution? Distribution, networkAddress! NetworkAddress, associateConference bool,
    externalReference? octets(1..255), ..., t120SetupProcedure

OpenLogicalChannel SEQ forwardLogicalChannelNumber int(1..65535), forwardLogicalChannelParameters! ForwardChannel,
    reverseLogicalChannelParameters?! ReverseChannel, ..., separateStack! NetworkAccess, encryptionSync*

AckMultiplex CHOICE h222LogicalChannelParameters H222Channel, ..., h2250LogicalChannelParameters! H2250Channel
AckReverse SEQ reverseLogicalChannelNumber int(1..65535), portNumber? int(0..65535), multiplexParameters?! AckMultiplex,
    ..., replacementFor
H2250Ack SEQ nonStandard? list NonStandard, sessionID? int(1..255), mediaChannel?! Transport, mediaControlChannel?! Transport,
    dynamicRTPPayloadType? int(96..127), ..., flowControlToZero, portNumber
ForwardAck CHOICE h2250LogicalChannelAckParameters! H2250Ack, ...
OpenLogicalChannelAck SEQ forwardLogicalChannelNumber int(1..65535), reverseLogicalChannelParameters?! AckReverse,
    ..., separateStack! NetworkAccess, forwardMultiplexAckParameters! ForwardAck, encryptionSync*

Request CHOICE nonStandard*, masterSlaveDetermination*, terminalCapabilitySet*, openLogicalChannel! OpenLogicalChannel,
    closeLogicalChannel*, requestChannelClose*, multiplexEntrySend*, requestMultiplexEntry*, requestMode*, roundTripDelayRequest*,
    maintenanceLoopRequest*, ..., communicationModeRequest*, conferenceRequest*, multilinkRequest*, logicalChannelRateRequest*
Response CHOICE nonStandard*, masterSlaveDeterminationAck*, masterSlaveDeterminationReject*, terminalCapabilitySetAck*,
    terminalCapabilitySetReject*, openLogicalChannelAck! OpenLogicalChannelAck, openLogicalChannelReject*, closeLogicalChannelAck*,
    requestChannelCloseAck*, requestChannelCloseReject*, multiplexEntrySendAck*, multiplexEntrySendReject*,
    requestMultiplexEntryAck*, requestMultiplexEntryReject*, requestModeAck*, requestModeReject*, roundTripDelayResponse*,
    maintenanceLoopAck*, maintenanceLoopReject*, ..., communicationModeResponse*, conferenceResponse*, multilinkResponse*,
    logicalChannelRateAcknowledge*, logicalChannelRateReject*
MultimediaSystemControlMessage CHOICE request! Request, response! Response, command*, indication*, ...
"""
TYPES: Final = read(TEXT, {})
CONTROL: Final = TYPES["MultimediaSystemControlMessage"]
CHANNEL: Final = TYPES["OpenLogicalChannel"]
