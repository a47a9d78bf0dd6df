// What a user's own receiver in Go would do at the least: check the signature, parse, produce with acks=all, and answer when
// the report is in. It normalizes nothing, looks at nothing but the event's type and the id of its data, and keeps no spool.
//
// Environment: SECRET, BROKERS, PORT, PREFIX (of the topics: PREFIX.TYPE).
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
)

const maximumBody = 1 << 20

type receiver struct {
	producer *kgo.Client
	secret   []byte
	prefix   string
}

type event struct {
	EventType string `json:"eventType"`
	Type      string `json:"type"`
	Data      map[string]any
}

func (r *receiver) signed(header http.Header, body []byte) bool {
	signature, err := hex.DecodeString(header.Get("Qlik-Signature"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, r.secret)
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), signature)
}

func (r *receiver) record(body []byte) *kgo.Record {
	var e event
	if json.Unmarshal(body, &e) != nil {
		return nil
	}
	kind := e.EventType
	if kind == "" {
		kind = e.Type
	}
	if kind == "" {
		return nil
	}
	key, _ := e.Data["id"].(string)
	return &kgo.Record{
		Topic: r.prefix + "." + kind,
		Key:   []byte(key),
		Value: body,
		Headers: []kgo.RecordHeader{
			{Key: "ce_type", Value: []byte(kind)},
			{Key: "ce_specversion", Value: []byte("1.0")},
		},
	}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maximumBody))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if !r.signed(request.Header, body) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	record := r.record(body)
	if record == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.producer.ProduceSync(request.Context(), record).FirstErr() != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func main() {
	producer, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("BROKERS")), kgo.ProducerLinger(0))
	if err != nil {
		log.Fatal(err)
	}
	r := &receiver{producer, []byte(os.Getenv("SECRET")), os.Getenv("PREFIX")}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), r))
}
