// Command benchmarks compares what a test pays for an isolated database, strategy by strategy.
package main

func main() {}
