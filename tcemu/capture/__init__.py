"""Capture files: pcap and pcapng in and out, streaming; see `open.open_capture`, `reader.Reader`, `link.locate`, `merge`, `writer`."""
