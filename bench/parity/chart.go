package main

func writeSVGs(dir string, results []Result) error { return nil }
