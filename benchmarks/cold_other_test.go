//go:build !unix

package main

func firstDatabase() error { return nil }
