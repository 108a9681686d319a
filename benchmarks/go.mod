module github.com/txiso/txiso-go/benchmarks

go 1.26.0
