"""S3 by a real server: a listing in many pages, addresses, and what goes wrong said in one line."""

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from amun.core.errors import AmunError, InputError
from tasks.tools.s3 import Location, StoredObject, list_objects, open_client, parse_location, translate_errors
from tests.swift import BUCKET


def test_address_is_taken_apart_and_written_again() -> None:
    assert parse_location("s3://bucket/some/prefix/") == Location("bucket", "some/prefix")
    assert str(parse_location("s3://bucket/some/prefix/")) == "s3://bucket/some/prefix"
    assert parse_location("s3://bucket").join("name.csv") == "name.csv"
    assert str(Location("bucket", "")) == "s3://bucket"


@pytest.mark.parametrize("address", ["bucket/prefix", "s3:/bucket", "s3://", "s3:///prefix", "file:///folder"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"write s3://bucket/prefix"):
        parse_location(address)


def test_listing_goes_through_all_pages_and_stays_below_its_prefix(aws: dict[str, str]) -> None:
    assert aws
    client = open_client()
    names = [f"pages/{number:02d}.csv" for number in range(7)]
    for name in [*names, "pages/folder/", "pages-too/other.csv"]:
        client.put_object(Bucket=BUCKET, Key=name, Body=b"content" if name.endswith(".csv") else b"")
    pages = 0

    def ask_for_small_pages(params: dict[str, Any], **_: object) -> None:
        nonlocal pages
        pages += 1
        params["MaxKeys"] = 3

    client.meta.events.register("provide-client-params.s3.ListObjectsV2", ask_for_small_pages)
    found = list(list_objects(client, Location(BUCKET, "pages")))
    assert [entry.key for entry in found] == names
    assert pages == 3
    assert found[0] == StoredObject(names[0], "9a0364b9e99bb480dd25e1f0284c8555", 7)  # the content's MD5


def test_missing_bucket_is_said_in_one_line(aws: dict[str, str]) -> None:
    assert aws
    with pytest.raises(AmunError, match=r"^s3://no-such-bucket/prefix: it does not answer or refuses: ") as refused:
        list(list_objects(open_client(), Location("no-such-bucket", "prefix")))
    assert "\n" not in str(refused.value)


def test_error_names_no_object() -> None:
    with (
        pytest.raises(AmunError, match=r'^here: it does not answer .* URL: "http://127.0.0.1:9"$'),
        translate_errors("here"),
    ):
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9/bucket/M%C3%BCller.csv")
