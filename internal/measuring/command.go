package measuring

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// Main runs the command of that name until it ends, or until an interrupt, SIGTERM or one of more ends ctx. If it fails it says why and
// ends the process.
func Main(name string, run func(ctx context.Context, args []string, stdout, stderr io.Writer) error, more ...os.Signal) {
	ctx, stop := signal.NotifyContext(context.Background(), append(more, os.Interrupt, syscall.SIGTERM)...)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// List returns the function of a flag that takes values with commas between. They take the place of what is there; one that comes again
// does not count.
func List[T comparable](into *[]T, parse func(string) (T, error)) func(string) error {
	return func(s string) error {
		*into = nil
		for field := range strings.SplitSeq(s, ",") {
			v, err := parse(strings.TrimSpace(field))
			if err != nil {
				return err
			}
			if !slices.Contains(*into, v) {
				*into = append(*into, v)
			}
		}
		return nil
	}
}

// Load reads results that were written as JSON, from files with commas between.
func Load[Result any](files string) (all []Result, err error) {
	for name := range strings.SplitSeq(files, ",") {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var some []Result
		if err := json.Unmarshal(b, &some); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, some...)
	}
	return all, nil
}
