// Package measuring is what the commands that measure (bench and those below it) have in common: how they begin and end, flags that are lists, results read back,
// figures beside their bounds, and how figures print. What they measure, and their plans and plots, are their own.
package measuring
