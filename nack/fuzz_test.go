package nack

import (
	"testing"

	"pgregory.net/rapid"
)

// FuzzScheduler lets the fuzzer choose the calls of TestSchedulerModel.
func FuzzScheduler(f *testing.F) { f.Fuzz(rapid.MakeFuzz(schedulerBesideModel)) }

// FuzzSchedulerDriven lets it choose those of TestSchedulerDriven.
func FuzzSchedulerDriven(f *testing.F) { f.Fuzz(rapid.MakeFuzz(drivenScheduler)) }

// FuzzRepairs lets it choose those of TestRepairsModel.
func FuzzRepairs(f *testing.F) { f.Fuzz(rapid.MakeFuzz(repairsBesideModel)) }

// FuzzRepairsDriven lets it choose those of TestRepairsDriven.
func FuzzRepairsDriven(f *testing.F) { f.Fuzz(rapid.MakeFuzz(drivenRepairs)) }
