module github.com/headgate/headgate/plugins

go 1.26

require github.com/headgate/headgate/sdk/go v0.0.0

replace github.com/headgate/headgate/sdk/go => ../sdk/go
