#!/bin/sh
# An authority of the platform's own, the certificate of ctl1, and one on a smart card. Prints a tar of what users need.
set -e
mkdir -p /etc/platform
cd /etc/platform
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=authority" -keyout ca.key -out ca.crt
for name in ctl1 card; do
  openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout $name.key -out $name.csr
  echo "subjectAltName=DNS:$name" > $name.ext
  openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile $name.ext -out $name.crt
done
tar --create ca.crt card.crt card.key | base64
