package transport

import (
	"os"
	"testing"

	"github.com/rmcast/rmcast/netem"
)

func TestMain(m *testing.M) {
	netem.EnterUser() // for the tests in a Lab
	os.Exit(m.Run())
}
