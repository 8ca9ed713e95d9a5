package window

import (
	"testing"

	"pgregory.net/rapid"
)

// FuzzReceive lets the fuzzer choose the calls of TestReceiveModel.
func FuzzReceive(f *testing.F) { f.Fuzz(rapid.MakeFuzz(receiveBesideModel)) }

// FuzzReceiveSizes lets it choose those of TestReceiveModelSizes.
func FuzzReceiveSizes(f *testing.F) { f.Fuzz(rapid.MakeFuzz(receiveSizesBesideModel)) }

// FuzzRewind lets it choose those of TestReceiveModelRewind.
func FuzzRewind(f *testing.F) { f.Fuzz(rapid.MakeFuzz(rewindBesideModel)) }

// FuzzTransmit lets it choose those of TestTransmitModel.
func FuzzTransmit(f *testing.F) { f.Fuzz(rapid.MakeFuzz(transmitBesideModel)) }
