package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
)

// two splits arguments into all but the last, and the last: FILE... NAME. want says which they are.
func two(c *cli.Command, want string) (first []string, last string, err error) {
	args := c.Args().Slice()
	if len(args) < 2 {
		return nil, "", tooFew(c, want)
	}
	return args[:len(args)-1], args[len(args)-1], nil
}

// tooFew is the error of arguments that are missing.
func tooFew(c *cli.Command, want string) error {
	return misuse("For example: "+exampleOf(c.Name), "rmcast %s needs %s", c.Name, want)
}

// one returns the only argument.
func one(c *cli.Command) (string, error) {
	switch args := c.Args().Slice(); len(args) {
	case 0:
		return "", tooFew(c, "a NAME or a GROUP")
	case 1:
		return args[0], nil
	default:
		return "", misuse(fmt.Sprintf("A name with spaces has to be in quotes: rmcast %s %s", c.Name, quote(strings.Join(args, " "))), "rmcast %s takes one name, and there are %d arguments", c.Name, len(args))
	}
}

// notNegative refuses numbers and times that are.
func notNegative(c *cli.Command, options ...string) error {
	for _, name := range options {
		switch v := c.Value(name).(type) {
		case int:
			if v < 0 {
				return misuse("", "-%s is negative", name)
			}
		case time.Duration:
			if v < 0 {
				return misuse("Times are written like 30s, 5m or 2h.", "-%s is negative", name)
			}
		}
	}
	return nil
}

// everyOf reads -every.
func everyOf(c *cli.Command) (time.Duration, error) {
	every := c.Duration("every")
	if every < 100*time.Millisecond {
		return 0, misuse("Times are written like 500ms or 2s.", "-every is %v, want 100ms or more", every)
	}
	return every, nil
}

// checkPaths finds what is wrong with the arguments before anything is opened.
func checkPaths(paths []string, name string) error {
	for _, p := range paths {
		_, err := os.Stat(p)
		switch {
		case err == nil:
		case errors.Is(err, os.ErrNotExist):
			if _, err := os.Stat(name); err == nil && len(paths) == 1 {
				return misuse(fmt.Sprintf("The NAME comes last: rmcast send %s %s", quote(name), quote(p)), "there is no file or directory %q, but there is one called %q", p, name)
			}
			do := "Look at the path, and at the directory you are in."
			if len(paths) > 1 {
				do += fmt.Sprintf(" If %q is a name with spaces, it has to be in quotes.", strings.Join(append(paths[1:len(paths):len(paths)], name), " "))
			}
			return &failure{exitUsage, fmt.Sprintf("there is no file or directory %q", p), do, err}
		default:
			return explain("", pathError(p, err))
		}
	}
	if _, err := os.Stat(name); err == nil && strings.ContainsRune(name, os.PathSeparator) {
		return misuse("The last argument is a NAME, any word that both ends use: rmcast send "+quote(name)+" demo", "%q is a file, and no name is given", name)
	}
	return nil
}

// quote writes an argument as a shell wants it.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
