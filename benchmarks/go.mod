module github.com/txiso/txiso-go/benchmarks

go 1.26.0

require (
	github.com/DATA-DOG/go-txdb v0.2.1
	github.com/jackc/pgx/v5 v5.12.0
	github.com/pressly/goose/v3 v3.29.0
	github.com/txiso/txiso-go v0.0.0
)

replace github.com/txiso/txiso-go => ../
