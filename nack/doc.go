// Package nack schedules requests for repair at receivers and repairs at the source.
package nack
