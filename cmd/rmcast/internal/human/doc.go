// Package human writes sizes, rates and times as people do, and makes text that came from a network fit for a terminal. It is pure.
package human
