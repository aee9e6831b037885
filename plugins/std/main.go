// Command std is the module with every filter that comes with the gateway. They
// share its code and its instances.
package main

import (
	_ "github.com/headgate/headgate/plugins/cors"
)

func main() {}
