#!/bin/sh
# client.sh ADDRESS MODEL IMAGE: the ways to send an image with curl.
set -eu
token=${PVZOO_SERVE_TOKEN:-none}
ask() { curl --silent --show-error --fail-with-body --retry 5 -H "Authorization: Bearer $token" "$@"; echo; }

ask "$1/v1/models/$2"                                                        # what it is
ask --data-binary "@$3" "$1/v1/models/$2/predict"                            # the image alone
ask --data-binary "@$3" "$1/v1/models/$2/predict?threshold=0.5"              # with an option
ask --form "images=@$3" --form "images=@$3" "$1/v1/models/$2/predict"        # several images
printf '{"image": "%s"}' "$(base64 < "$3" | tr -d '\n')" |
    ask --json @- "$1/v1/models/$2/predict"                                  # as JSON
ask --data-binary "@$3" --output annotated.png "$1/v1/models/$2/predict?format=image"
