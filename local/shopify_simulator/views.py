"""How files, products and shops look to a query: plain dictionaries keyed by schema field."""

from typing import Any
from urllib.parse import quote

from .state import Media, Product, Shop, Variant, iso


def cdn_url(base_url: str, domain: str, media: Media) -> str:
    """The public address of a READY image; ``v`` changes with the file."""
    return f"{base_url}/cdn/{domain}/files/{quote(media.filename)}?v={int(media.updated_at)}"


def media_view(media: Media, shop: Shop, base_url: str, *, fresh: bool = False) -> dict[str, Any]:
    """A MediaImage. A ``fresh`` one answers UPLOADED and no image, as every create does [L]."""
    picture = None if fresh else media.picture
    failure = None if fresh else media.failure
    status = "UPLOADED" if fresh else media.status
    image = None
    original = None
    if picture is not None:
        url = cdn_url(base_url, shop.domain, media)
        image = {
            "__typename": "Image",
            "id": f"gid://shopify/ImageSource/{media.number}",
            "url": url,
            "src": url,
            "originalSrc": url,
            "width": picture.width,
            "height": picture.height,
            "altText": media.alt,
        }
        original = {"fileSize": len(picture.content), "url": f"{url}&signed=1"}
    errors = []
    if failure is not None:
        errors = [{"code": failure.code, "message": failure.message, "details": failure.message}]
    return {
        "__typename": "MediaImage",
        "id": media.gid,
        "alt": media.alt,
        "status": status,
        "fileStatus": status,
        "mediaContentType": "IMAGE",
        "mimeType": picture.media_type if picture else None,
        "createdAt": iso(media.created_at),
        "updatedAt": iso(media.updated_at),
        "image": image,
        "preview": {"image": image, "status": status},
        "originalSource": original,
        "mediaErrors": errors,
        "fileErrors": errors,
        "mediaWarnings": [],
    }


def variant_view(variant: Variant, product: Product) -> dict[str, Any]:
    """A ProductVariant; ``media`` and ``product`` are resolved."""
    return {
        "__typename": "ProductVariant",
        "_variant": variant,
        "_product": product,
        "id": variant.gid,
        "legacyResourceId": str(variant.number),
        "title": variant.title,
        "displayName": f"{product.title} - {variant.title}",
    }


def product_view(product: Product) -> dict[str, Any]:
    """A Product; media, variants and counts are resolved."""
    return {
        "__typename": "Product",
        "_product": product,
        "id": product.gid,
        "legacyResourceId": str(product.number),
        "title": product.title,
        "handle": product.handle,
        "description": product.description_html,
        "descriptionHtml": product.description_html,
        "status": product.status,
        "vendor": product.vendor,
        "productType": product.product_type,
        "tags": list(product.tags),
        "createdAt": iso(product.created_at),
        "updatedAt": iso(product.updated_at),
        "publishedAt": iso(product.created_at),
        "onlineStoreUrl": None,
        "onlineStorePreviewUrl": None,
        "hasOnlyDefaultVariant": len(product.variants) == 1,
        "totalInventory": 0,
        "tracksInventory": False,
        "isGiftCard": False,
    }


def shop_view(shop: Shop) -> dict[str, Any]:
    """The Shop object."""
    name = shop.domain.removesuffix(".myshopify.com")
    return {
        "__typename": "Shop",
        "id": shop.gid,
        "name": name,
        "myshopifyDomain": shop.domain,
        "url": f"https://{shop.domain}",
        "email": f"owner@{shop.domain}",
        "contactEmail": f"owner@{shop.domain}",
        "currencyCode": "USD",
        "ianaTimezone": "UTC",
        "primaryDomain": {"host": shop.domain, "url": f"https://{shop.domain}", "id": shop.gid},
        "plan": {
            "displayName": "Basic",
            "publicDisplayName": "Basic",
            "partnerDevelopment": True,
            "shopifyPlus": False,
        },
    }
