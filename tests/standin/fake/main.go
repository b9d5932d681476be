// A small PD and TiKV in one process, for what a real cluster does too seldom: region lookups that fail at the very
// moment in which tikv-client prewrites or commits. Its store is sound, in memory, and has one node with two regions.
//
// It serves the tests of the harness alone and says nothing about TiKV.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"

	"github.com/pingcap/kvproto/pkg/pdpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"google.golang.org/grpc"
)

func main() {
	address := flag.String("listen", "127.0.0.1:2379", "where PD and the store answer")
	prewrites := flag.Int("drop-prewrites", 0, "every how-manieth prewrite beside the primary's meets a failing lookup; 0: none")
	commits := flag.Int("drop-commits", 0, "the same for the commit of a primary")
	conflicts := flag.Int("miss-conflicts", 0, "every how-manieth write conflict is missed, a lost update; 0: none")
	flag.Parse()

	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	regions := &regions{}
	server := grpc.NewServer()
	pdpb.RegisterPDServer(server, &pd{address: *address, regions: regions})
	tikvpb.RegisterTikvServer(server, &store{
		regions:   regions,
		data:      mvcc{keys: map[string]*entry{}, conflicts: every{n: *conflicts}},
		prewrites: every{n: *prewrites},
		commits:   every{n: *commits},
	})
	fmt.Println("ready")
	log.Fatal(server.Serve(listener))
}

// every is true once in n times, never where n is 0.
type every struct{ n, seen int }

func (e *every) hit() bool {
	e.seen++
	return e.n > 0 && e.seen%e.n == 0
}
