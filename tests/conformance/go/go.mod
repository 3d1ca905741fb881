module weir.dev/conformance/peer

go 1.24
